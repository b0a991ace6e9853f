"""DomainBed's records, its three rules of model choice and its averages (Gulrajani and Lopez-Paz, ICLR 2021)."""
