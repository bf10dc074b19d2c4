"""What is to be measured: the study, its models, its tiles, and the steps between them."""
