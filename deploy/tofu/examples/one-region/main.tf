# One region: three edge hosts behind one load balancer, a zone, and a store of three members.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region = var.region
}

variable "region" {
  description = "Where all of it is."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Wanted a region of AWS, such as eu-west-1."
  }
}

variable "domain" {
  description = "The platform's domain."
  type        = string
}

variable "image_id" {
  description = "The image of the edge hosts."
  type        = string
}

variable "etcd_image_id" {
  description = "The image of the store's members."
  type        = string
}

data "aws_availability_zones" "region" {
  state = "available"
}

locals {
  name = "karman-${var.region}"
}

module "network" {
  source = "../../modules/network"

  name  = local.name
  cidr  = "10.1.0.0/16"
  zones = slice(data.aws_availability_zones.region.names, 0, 3)
}

module "zone" {
  source = "../../modules/zone"

  domain = var.domain
}

module "etcd" {
  source = "../../modules/etcd"

  name         = "etcd"
  image_id     = var.etcd_image_id
  vpc_id       = module.network.vpc_id
  subnet_ids   = module.network.subnet_ids
  client_cidrs = [module.network.cidr]
}

module "load_balancer" {
  source = "../../modules/load-balancer"

  name       = local.name
  vpc_id     = module.network.vpc_id
  subnet_ids = module.network.subnet_ids
}

module "edge_hosts" {
  source = "../../modules/edge-hosts"

  name                       = local.name
  region                     = var.region
  image_id                   = var.image_id
  vpc_id                     = module.network.vpc_id
  subnet_ids                 = module.network.subnet_ids
  balancer_security_group_id = module.load_balancer.security_group_id
  balancer_cidr              = module.network.cidr
  target_group_arns          = module.load_balancer.target_group_arns
  store                      = module.etcd.store
  dns_zone_arn               = module.zone.zone_arn
}

output "platform" {
  description = "What belongs into platform.yaml."
  value = {
    domain = var.domain
    dns = {
      zone    = module.zone.zone_id
      regions = { (var.region) = module.load_balancer.region_entry }
    }
  }
}

output "name_servers" {
  description = "What the parent domain has to delegate to."
  value       = module.zone.name_servers
}
