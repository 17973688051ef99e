"""The studio: see and steer an episode in the browser. `session` is plain Python; `server` puts it on the network."""
