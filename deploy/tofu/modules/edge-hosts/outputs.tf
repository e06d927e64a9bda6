output "group_name" {
  description = "The auto scaling group."
  value       = aws_autoscaling_group.edge.name
}

output "security_group_id" {
  description = "The hosts' security group: whom etcd and the app instances let in."
  value       = aws_security_group.hosts.id
}
