"""What the work runs on: the device, and the processes that make pictures. Knows neither pictures nor methods."""
