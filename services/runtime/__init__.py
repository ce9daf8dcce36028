"""What every process of the mesh shares: configuration, server, interceptors, queue, clock and loops."""
