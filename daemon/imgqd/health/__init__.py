"""How the daemon and its index do: checked, mended, measured, and told."""
