# One region of the three: network, load balancer and edge hosts.

variable "region" {
  description = "The region's name at AWS."
  type        = string
}

variable "cidr" {
  description = "The region's addresses."
  type        = string
}

variable "image_id" {
  description = "The image of the edge hosts, in this region."
  type        = string
}

variable "store" {
  description = "Where the store is."
  type        = string
}

variable "dns_zone_arn" {
  description = "The zone whose records 'karman dns' keeps."
  type        = string
}

locals {
  name = "karman-${var.region}"
}

data "aws_availability_zones" "region" {
  state = "available"
}

module "network" {
  source = "../../../modules/network"

  name  = local.name
  cidr  = var.cidr
  zones = slice(data.aws_availability_zones.region.names, 0, 3)
}

module "load_balancer" {
  source = "../../../modules/load-balancer"

  name       = local.name
  vpc_id     = module.network.vpc_id
  subnet_ids = module.network.subnet_ids
}

module "edge_hosts" {
  source = "../../../modules/edge-hosts"

  name                       = local.name
  region                     = var.region
  image_id                   = var.image_id
  vpc_id                     = module.network.vpc_id
  subnet_ids                 = module.network.subnet_ids
  balancer_security_group_id = module.load_balancer.security_group_id
  balancer_cidr              = module.network.cidr
  target_group_arns          = module.load_balancer.target_group_arns
  store                      = var.store
  dns_zone_arn               = var.dns_zone_arn
}

output "vpc_id" {
  description = "The region's VPC."
  value       = module.network.vpc_id
}

output "subnet_ids" {
  description = "The region's subnets."
  value       = module.network.subnet_ids
}

output "route_table_id" {
  description = "The region's routes."
  value       = module.network.route_table_id
}

output "region_entry" {
  description = "The region's entry under dns.regions of platform.yaml."
  value       = module.load_balancer.region_entry
}
