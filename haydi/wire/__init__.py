"""What travels between the processes of Haydi: typed messages, and the sockets that carry them."""
