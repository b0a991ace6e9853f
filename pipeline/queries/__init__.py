"""Questions to a teacher cache: what is near to what, how well its features tell classes apart, what stands in it twice."""
