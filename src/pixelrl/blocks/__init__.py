"""One huge picture, block by block: each is read with its surroundings, plays the whole episode, and is written alone.

`cut` says which blocks there are and how much of the surroundings each needs, `play` plays an episode on one of them,
`plan` is all that every block must know. `pixelrl.Agent.blocks` is the way in.
"""
