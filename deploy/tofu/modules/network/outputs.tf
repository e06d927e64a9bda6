output "vpc_id" {
  description = "The region's VPC."
  value       = aws_vpc.region.id
}

output "cidr" {
  description = "The region's addresses: what listen.proxy_protocol believes."
  value       = aws_vpc.region.cidr_block
}

output "subnet_ids" {
  description = "One subnet in each availability zone."
  value       = [for subnet in aws_subnet.zone : subnet.id]
}

output "route_table_id" {
  description = "The region's routes, for peering."
  value       = aws_route_table.region.id
}
