"""Generated from proto/etcd: the part of etcd's v3 messages that the catalog uses."""
