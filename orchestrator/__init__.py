"""Many experts, one answer: the life of a request and everything durable."""
