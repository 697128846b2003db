"""For users' tests: a clock to turn by hand, an isolated recorder, our own failures raised instead of counted."""
