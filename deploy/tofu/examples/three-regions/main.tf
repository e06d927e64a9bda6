# Virginia, Ireland and Sydney: each region as in the one-region example; the zone and the store are one.

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
  region = "us-east-1"
}

provider "aws" {
  alias  = "ireland"
  region = "eu-west-1"
}

provider "aws" {
  alias  = "sydney"
  region = "ap-southeast-2"
}

variable "domain" {
  description = "The platform's domain."
  type        = string
}

variable "image_ids" {
  description = "The image of the edge hosts in each region."
  type        = object({ virginia = string, ireland = string, sydney = string })
}

variable "etcd_image_id" {
  description = "The image of the store's members, in Virginia."
  type        = string
}

locals {
  cidrs = { virginia = "10.1.0.0/16", ireland = "10.2.0.0/16", sydney = "10.3.0.0/16" }
}

module "zone" {
  source = "../../modules/zone"

  domain = var.domain
}

# The store stands in one region. The others reach it over peering, and serve without it when they cannot.
module "etcd" {
  source = "../../modules/etcd"

  name         = "etcd"
  image_id     = var.etcd_image_id
  vpc_id       = module.virginia.vpc_id
  subnet_ids   = module.virginia.subnet_ids
  client_cidrs = values(local.cidrs)
}

module "virginia" {
  source = "./region"

  region       = "us-east-1"
  cidr         = local.cidrs.virginia
  image_id     = var.image_ids.virginia
  store        = module.etcd.store
  dns_zone_arn = module.zone.zone_arn
}

module "ireland" {
  source    = "./region"
  providers = { aws = aws.ireland }

  region       = "eu-west-1"
  cidr         = local.cidrs.ireland
  image_id     = var.image_ids.ireland
  store        = module.etcd.store
  dns_zone_arn = module.zone.zone_arn
}

module "sydney" {
  source    = "./region"
  providers = { aws = aws.sydney }

  region       = "ap-southeast-2"
  cidr         = local.cidrs.sydney
  image_id     = var.image_ids.sydney
  store        = module.etcd.store
  dns_zone_arn = module.zone.zone_arn
}

module "peering_ireland" {
  source    = "./peering"
  providers = { aws.near = aws, aws.far = aws.ireland }

  near = { vpc_id = module.virginia.vpc_id, route_table_id = module.virginia.route_table_id, cidr = local.cidrs.virginia }
  far  = { vpc_id = module.ireland.vpc_id, route_table_id = module.ireland.route_table_id, cidr = local.cidrs.ireland, region = "eu-west-1" }
}

module "peering_sydney" {
  source    = "./peering"
  providers = { aws.near = aws, aws.far = aws.sydney }

  near = { vpc_id = module.virginia.vpc_id, route_table_id = module.virginia.route_table_id, cidr = local.cidrs.virginia }
  far  = { vpc_id = module.sydney.vpc_id, route_table_id = module.sydney.route_table_id, cidr = local.cidrs.sydney, region = "ap-southeast-2" }
}

output "platform" {
  description = "What belongs into platform.yaml."
  value = {
    domain = var.domain
    dns = {
      zone = module.zone.zone_id
      regions = {
        us-east-1      = module.virginia.region_entry
        eu-west-1      = module.ireland.region_entry
        ap-southeast-2 = module.sydney.region_entry
      }
    }
  }
}

output "name_servers" {
  description = "What the parent domain has to delegate to."
  value       = module.zone.name_servers
}
