"""From a recipe to a policy: data, learner, the loop and its checkpoints."""
