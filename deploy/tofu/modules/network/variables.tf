variable "name" {
  description = "What everything in the region is called, such as karman-eu-west-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "The name is 1 to 24 of a-z, 0-9 and '-', from a letter on: names of load balancers are short."
  }
}

variable "cidr" {
  description = "The region's addresses. No two regions share one, so that they can be peered."
  type        = string

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15)) && can(cidrnetmask(var.cidr))
    error_message = "Wanted an IPv4 network that can be divided into sixteen, such as 10.1.0.0/16."
  }
}

variable "zones" {
  description = "The availability zones that hold a subnet each: three, so that one may fail."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 6 && length(distinct(var.zones)) == length(var.zones)
    error_message = "Wanted two to six different availability zones."
  }
}
