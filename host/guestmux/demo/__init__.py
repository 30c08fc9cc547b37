"""The demonstration of the main job, and the stand-ins that it and the tests run on."""
