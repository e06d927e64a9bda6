output "zone_id" {
  description = "platform.yaml's 'dns.zone'."
  value       = aws_route53_zone.platform.zone_id
}

output "zone_arn" {
  description = "What 'karman dns' may change."
  value       = aws_route53_zone.platform.arn
}

output "name_servers" {
  description = "What the parent domain has to delegate to."
  value       = aws_route53_zone.platform.name_servers
}
