# A network load balancer that passes TCP through and says in a PROXY header (version 2) who the client is.

resource "aws_lb" "edge" {
  name                             = var.name
  load_balancer_type               = "network"
  ip_address_type                  = "dualstack"
  subnets                          = var.subnet_ids
  security_groups                  = [aws_security_group.clients.id]
  enable_cross_zone_load_balancing = false
  enable_deletion_protection       = true
}

resource "aws_security_group" "clients" {
  name        = "${var.name}-clients"
  description = "Clients to the load balancer"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "ipv4" {
  for_each = var.ports

  security_group_id = aws_security_group.clients.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
}

resource "aws_vpc_security_group_ingress_rule" "ipv6" {
  for_each = var.ports

  security_group_id = aws_security_group.clients.id
  cidr_ipv6         = "::/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
}

resource "aws_vpc_security_group_egress_rule" "hosts" {
  security_group_id = aws_security_group.clients.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_lb_target_group" "edge" {
  for_each = var.ports

  name     = "${var.name}-${each.key}"
  vpc_id   = var.vpc_id
  protocol = "TCP"
  port     = each.value

  # The header says who the client is, over IPv6 and from peered networks too; the address alone does not.
  proxy_protocol_v2  = true
  preserve_client_ip = false

  deregistration_delay   = var.deregistration_seconds
  connection_termination = true

  # One check that fails must not cut every socket of a host: it drains itself, at a pace.
  target_health_state {
    enable_unhealthy_connection_termination = false
    unhealthy_draining_interval             = var.deregistration_seconds
  }

  health_check {
    protocol            = "HTTP"
    port                = tostring(var.probe_port)
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "edge" {
  for_each = var.ports

  load_balancer_arn        = aws_lb.edge.arn
  protocol                 = "TCP"
  port                     = tonumber(each.key)
  tcp_idle_timeout_seconds = var.idle_seconds

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.edge[each.key].arn
  }
}
