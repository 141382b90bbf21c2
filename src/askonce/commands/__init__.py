"""The commands of `askonce`, one module for each group."""
