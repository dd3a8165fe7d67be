"""The run of an upload: orders are looked at in PlayAuto, and what is missing of each is done, in bulk."""
