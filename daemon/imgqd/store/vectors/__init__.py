"""The vectors of each model that is held, each bound to its picture by a checksum."""
