output "target_group_arns" {
  description = "What the edge hosts register with."
  value       = [for group in aws_lb_target_group.edge : group.arn]
}

output "security_group_id" {
  description = "Whom the edge hosts let in."
  value       = aws_security_group.clients.id
}

output "region_entry" {
  description = "The region's entry under dns.regions of platform.yaml."
  value = {
    load_balancer = {
      name = aws_lb.edge.dns_name
      zone = aws_lb.edge.zone_id
    }
  }
}
