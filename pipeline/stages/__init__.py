"""A function per stage: unpacks its configuration, joins the rooms, writes its outputs."""
