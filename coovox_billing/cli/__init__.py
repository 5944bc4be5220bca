"""The command `coovox-billing`: one module per noun, `main` puts them together."""
