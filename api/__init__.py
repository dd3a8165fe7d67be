"""Who asks: REST and the web console."""
