"""What baking costs, measured against other ways to do it. `make bench` runs it all."""
