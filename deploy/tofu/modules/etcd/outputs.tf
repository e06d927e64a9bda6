output "store" {
  description = "What '--store' is told."
  value       = "etcd://${join(",", [for interface in aws_network_interface.member : "${interface.private_ip}:2379"])}"
}
