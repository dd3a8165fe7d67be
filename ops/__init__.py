"""How Jeongsi is run: command line, local servers, provider emulators."""
