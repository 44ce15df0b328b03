"""The facts of docs/reference, made from the source: ``make reference`` writes them."""
