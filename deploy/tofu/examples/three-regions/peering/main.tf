# A line between the region of the store and another one.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = "~> 6.0"
      configuration_aliases = [aws.near, aws.far]
    }
  }
}

variable "near" {
  description = "The region of the store."
  type        = object({ vpc_id = string, route_table_id = string, cidr = string })
}

variable "far" {
  description = "The other region."
  type        = object({ vpc_id = string, route_table_id = string, cidr = string, region = string })
}

resource "aws_vpc_peering_connection" "line" {
  provider = aws.near

  vpc_id      = var.near.vpc_id
  peer_vpc_id = var.far.vpc_id
  peer_region = var.far.region
}

resource "aws_vpc_peering_connection_accepter" "line" {
  provider = aws.far

  vpc_peering_connection_id = aws_vpc_peering_connection.line.id
  auto_accept               = true
}

resource "aws_route" "there" {
  provider = aws.near

  route_table_id            = var.near.route_table_id
  destination_cidr_block    = var.far.cidr
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.line.vpc_peering_connection_id
}

resource "aws_route" "back" {
  provider = aws.far

  route_table_id            = var.far.route_table_id
  destination_cidr_block    = var.near.cidr
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.line.vpc_peering_connection_id
}
