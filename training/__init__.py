"""How the builtin model comes to be: data from packages, training, evaluation, sample pictures."""
