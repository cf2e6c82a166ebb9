"""The documents under `contracts/`: derived from the code and `docs/`, never written by hand."""
