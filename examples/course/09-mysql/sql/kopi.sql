-- The example's database and its user: sudo mariadb < sql/kopi.sql
CREATE DATABASE IF NOT EXISTS kopi CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'kopi'@'127.0.0.1' IDENTIFIED BY 'rahasia';
GRANT ALL ON kopi.* TO 'kopi'@'127.0.0.1';
USE kopi;

DROP TABLE IF EXISTS orders, products;
CREATE TABLE products (
    id INT AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(80) NOT NULL UNIQUE,
    price INT NOT NULL,
    stock INT NOT NULL,
    note TEXT
);
CREATE TABLE orders (
    id INT AUTO_INCREMENT PRIMARY KEY,
    product INT NOT NULL,
    count INT NOT NULL,
    FOREIGN KEY (product) REFERENCES products (id)
);
INSERT INTO products (name, price, stock, note) VALUES
    ('Gayo', 85000, 10, NULL),
    ('Toraja', 92000, 4, 'roasted on Monday');
