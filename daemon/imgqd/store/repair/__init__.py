"""The store held against itself, and what is had out of one that is damaged."""
