"""Views: which renderings of an image there are, how each is drawn, and all of them at one size."""
