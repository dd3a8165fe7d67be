"""The bridge: the HTTP contract that we define for room bots, published as docs/bridge.yaml."""
