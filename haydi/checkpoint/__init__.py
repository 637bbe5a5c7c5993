"""What a client keeps of a run on disk, so that it can be continued."""
