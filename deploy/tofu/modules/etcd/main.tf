# The store where control itself has to be redundant: an etcd cluster, one member in each subnet.
#
# The members have fixed addresses and disks that outlive them. The edges go on serving when all of
# them are gone; only changes wait.

locals {
  members = { for index, id in var.subnet_ids : "${var.name}-${index + 1}" => id }
  cluster = join(",", [for name, interface in aws_network_interface.member : "${name}=http://${interface.private_ip}:2380"])
}

data "aws_subnet" "member" {
  for_each = local.members
  id       = each.value
}

resource "aws_security_group" "etcd" {
  name        = var.name
  description = "Controllers to etcd, and its members among themselves"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.etcd.id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 2379
  to_port           = 2379
}

resource "aws_vpc_security_group_ingress_rule" "members" {
  security_group_id            = aws_security_group.etcd.id
  referenced_security_group_id = aws_security_group.etcd.id
  ip_protocol                  = "tcp"
  from_port                    = 2380
  to_port                      = 2380
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.etcd.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_network_interface" "member" {
  for_each = local.members

  subnet_id       = each.value
  security_groups = [aws_security_group.etcd.id]
  tags            = { Name = each.key }
}

resource "aws_ebs_volume" "member" {
  for_each = local.members

  availability_zone = data.aws_subnet.member[each.key].availability_zone
  type              = "gp3"
  size              = 20
  encrypted         = true
  tags              = { Name = each.key }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_instance" "member" {
  for_each = local.members

  ami           = var.image_id
  instance_type = var.instance_type
  tags          = { Name = each.key }

  primary_network_interface {
    network_interface_id = aws_network_interface.member[each.key].id
  }

  metadata_options {
    http_tokens = "required"
  }

  user_data = templatefile("${path.module}/user-data.sh.tftpl", {
    name    = each.key
    address = aws_network_interface.member[each.key].private_ip
    cluster = local.cluster
    volume  = replace(aws_ebs_volume.member[each.key].id, "-", "")
  })
}

resource "aws_volume_attachment" "member" {
  for_each = local.members

  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.member[each.key].id
  instance_id = aws_instance.member[each.key].id
}
