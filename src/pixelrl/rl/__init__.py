"""The equations of reinforcement learning: returns and losses. They see tensors only."""
