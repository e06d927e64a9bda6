# The hosted zone. Its records below are the only ones that are kept here: those that lead to regions are
# kept by 'karman dns', which marks what is its own and leaves these alone.

resource "aws_route53_zone" "platform" {
  name = var.domain

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_route53_record" "authorities" {
  zone_id = aws_route53_zone.platform.zone_id
  name    = var.domain
  type    = "CAA"
  ttl     = 3600
  records = [for authority in var.authorities : "0 issue \"${authority}\""]
}
