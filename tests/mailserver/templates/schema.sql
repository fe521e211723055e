-- The ISPmail tutorial's database, repeatable: run at every start of the server, it leaves what is there alone.
CREATE DATABASE IF NOT EXISTS mailserver CHARACTER SET utf8;
USE mailserver;

CREATE TABLE IF NOT EXISTS virtual_domains (
  id int(11) NOT NULL AUTO_INCREMENT,
  name varchar(50) NOT NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE IF NOT EXISTS virtual_users (
  id int(11) NOT NULL AUTO_INCREMENT,
  domain_id int(11) NOT NULL,
  email varchar(100) NOT NULL,
  password varchar(150) NOT NULL,
  quota bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY email (email),
  FOREIGN KEY (domain_id) REFERENCES virtual_domains (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE IF NOT EXISTS virtual_aliases (
  id int(11) NOT NULL AUTO_INCREMENT,
  domain_id int(11) NOT NULL,
  source varchar(100) NOT NULL,
  destination varchar(100) NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY (domain_id) REFERENCES virtual_domains (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

-- 127.0.0.1, not localhost: the tutorial's way, as localhost would mean the unix socket.
CREATE USER IF NOT EXISTS mailserver@127.0.0.1 IDENTIFIED BY '$password';
GRANT SELECT ON mailserver.* TO mailserver@127.0.0.1;
CREATE USER IF NOT EXISTS mailadmin@127.0.0.1 IDENTIFIED BY '$password';
GRANT SELECT, INSERT, UPDATE, DELETE ON mailserver.* TO mailadmin@127.0.0.1;
