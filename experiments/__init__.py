"""Programs: thin absl mains over the library."""
