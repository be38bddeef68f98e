"""How a problem is computed: a small space of schedules for each family, and its default."""
