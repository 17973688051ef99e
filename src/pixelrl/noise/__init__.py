"""The noise of real pictures: what it is like, as a value that people and policies are told."""
