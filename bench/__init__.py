"""What a bot costs, each figure beside its baseline from the same run. `make bench`."""
