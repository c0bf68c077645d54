SELECT connections, most_connections, oldest_transaction FROM ops.server_load()
