# The region's network: one public subnet in each availability zone, IPv4 and IPv6.

resource "aws_vpc" "region" {
  cidr_block                       = var.cidr
  assign_generated_ipv6_cidr_block = true
  enable_dns_hostnames             = true
  tags                             = { Name = var.name }
}

resource "aws_internet_gateway" "region" {
  vpc_id = aws_vpc.region.id
  tags   = { Name = var.name }
}

resource "aws_subnet" "zone" {
  for_each = { for index, zone in var.zones : zone => index }

  vpc_id                          = aws_vpc.region.id
  availability_zone               = each.key
  cidr_block                      = cidrsubnet(aws_vpc.region.cidr_block, 4, each.value)
  ipv6_cidr_block                 = cidrsubnet(aws_vpc.region.ipv6_cidr_block, 8, each.value)
  assign_ipv6_address_on_creation = true
  map_public_ip_on_launch         = true
  tags                            = { Name = "${var.name}-${each.key}" }
}

resource "aws_route_table" "region" {
  vpc_id = aws_vpc.region.id
  tags   = { Name = var.name }

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.region.id
  }

  route {
    ipv6_cidr_block = "::/0"
    gateway_id      = aws_internet_gateway.region.id
  }
}

resource "aws_route_table_association" "zone" {
  for_each = aws_subnet.zone

  subnet_id      = each.value.id
  route_table_id = aws_route_table.region.id
}
