"""Better answers of a teacher, and doubt about labels, from cached features and the source domains' labels alone."""
