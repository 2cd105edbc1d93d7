"""`imgq demo`: a real daemon in a folder of its own, shown at work on a sample library.

The sample library lies in `library/`; where its art comes from is said in `library/NOTICE.md`.
"""
