"""The service that customers and their programs speak to: takes orders in, shows what became of them."""
