# The edge hosts of a region: an auto scaling group, one proxy on each host under systemd.

locals {
  units = ["karman-proxy@blue.service", "karman-publish.service", "karman-termination.service"]

  edge_yaml = yamlencode({
    edge            = { region = var.region }
    listen          = { http = ["0.0.0.0:80"], https = ["0.0.0.0:443"], proxy_protocol = { from = [var.balancer_cidr] } }
    admin           = { socket = "/run/karman/admin.sock" }
    probe           = { address = "0.0.0.0:9090" }
    state           = { dir = "/var/lib/karman/edge" }
    log             = { access = "/var/log/karman/access.log" }
    trusted_proxies = []
  })
}

resource "aws_security_group" "hosts" {
  name        = "${var.name}-hosts"
  description = "The load balancer to the edge hosts"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each = toset(["80", "443", "9090"])

  security_group_id            = aws_security_group.hosts.id
  referenced_security_group_id = var.balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.value)
  to_port                      = tonumber(each.value)
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.hosts.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "host" {
  name_prefix        = "${var.name}-"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

# What 'karman dns' and dns-01 need, and no more.
data "aws_iam_policy_document" "dns" {
  count = var.dns_zone_arn == null ? 0 : 1

  statement {
    actions   = ["route53:GetHostedZone", "route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets"]
    resources = [var.dns_zone_arn]
  }

  statement {
    actions   = ["route53:GetChange", "route53:ListHealthChecks", "route53:CreateHealthCheck", "route53:DeleteHealthCheck"]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "dns" {
  count = var.dns_zone_arn == null ? 0 : 1

  name   = "dns"
  role   = aws_iam_role.host.id
  policy = data.aws_iam_policy_document.dns[0].json
}

resource "aws_iam_instance_profile" "host" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.host.name
}

resource "aws_launch_template" "edge" {
  name_prefix            = "${var.name}-"
  image_id               = var.image_id
  instance_type          = var.instance_type
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.host.arn
  }

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    security_groups = [aws_security_group.hosts.id]

    # The interface forgets silent connections after 350 s unless it is told otherwise: as the load
    # balancer's idle time, or that one says more than is so.
    connection_tracking_specification {
      tcp_established_timeout = 3660
    }
  }

  user_data = base64encode(templatefile("${path.module}/user-data.sh.tftpl", {
    edge_yaml = local.edge_yaml
    store     = var.store
    units     = join(" ", concat(local.units, var.dns_zone_arn == null ? [] : ["karman-dns.service"]))
  }))
}

resource "aws_autoscaling_group" "edge" {
  name                      = var.name
  min_size                  = var.hosts.min
  max_size                  = var.hosts.max
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = var.target_group_arns
  health_check_type         = "ELB"
  health_check_grace_period = 120

  launch_template {
    id      = aws_launch_template.edge.id
    version = aws_launch_template.edge.latest_version
  }

  # A new host carries before an old one goes.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 120
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 120
      instance_warmup        = 120
    }
  }

  # karman-termination.service sees that the host is to end, and drains it in this time.
  initial_lifecycle_hook {
    name                 = "drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = var.drain_seconds
    default_result       = "CONTINUE"
  }

  tag {
    key                 = "Name"
    value               = var.name
    propagate_at_launch = true
  }
}
